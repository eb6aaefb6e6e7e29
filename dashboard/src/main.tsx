/** Where the page begins. */

import { render } from "preact";
import { App } from "./frame/app";
import "./style.css";

render(<App />, document.getElementById("page") as HTMLElement);
