/** The page: the frame, and in it the view of the address. */

import type { JSX } from "preact";
import { route } from "../router";
import InstanceView from "../instance/view";

export function App(): JSX.Element {
  const at = route.value;
  return <main>{at.view === "instance" ? <InstanceView id={at.id} /> : <p>{at.view}</p>}</main>;
}
