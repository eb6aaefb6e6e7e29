/** The page of one instance. */

import type { JSX } from "preact";

export default function InstanceView({ id }: { readonly id: string }): JSX.Element {
  return <h1>{id}</h1>;
}
