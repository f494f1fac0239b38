import { render } from "preact";

import { App } from "./app";
import { createClient } from "./client";
import { takeFragment } from "./fragment";
import "./styles.css";
import "./calls/calls.css";

const fragment = takeFragment();
const { client, drafts } = createClient(fragment.login !== undefined);

render(<App client={client} drafts={drafts} fragment={fragment} />, document.getElementById("app")!);
