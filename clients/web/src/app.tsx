import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type Hubbub } from "@hubbub/client";

import { Auth } from "./auth";
import { Chat } from "./chat";
import { ClientContext } from "./client";
import { DraftsContext, type Drafts } from "./drafts";
import type { Fragment } from "./fragment";

const ENDED: Record<string, string> = {
  revoked: "You were signed out from another device.",
  reused: "Your login was used twice and has been ended for safety. Please log in again.",
  password_changed: "Your password was changed. Please log in again.",
  expired: "Your login has ended. Please log in again.",
};

type Stage = "starting" | "out" | "in";

interface AppProps {
  client: Hubbub;
  drafts: Drafts;
  fragment: Fragment;
}

export function App({ client, drafts, fragment }: AppProps) {
  const [stage, setStage] = useState<Stage>("starting");
  const [notice, setNotice] = useState("");

  useEffect(() => {
    const stop = client.on("ended", ({ reason }) => {
      setNotice(ENDED[reason] ?? "");
      setStage("out");
    });
    begin(client, fragment).then(
      (inside) => setStage(inside ? "in" : "out"),
      (refusal: unknown) => {
        setNotice(asHubbubError(refusal).message);
        setStage("out");
      },
    );
    return stop;
  }, [client, fragment]);

  if (stage === "starting") return <p class="starting" role="status">Opening Hubbub …</p>;
  return (
    <ClientContext.Provider value={client}>
      {stage === "in" ? (
        <DraftsContext.Provider value={drafts}>
          <Chat />
        </DraftsContext.Provider>
      ) : (
        <Auth invite={fragment.invite} notice={notice} onDone={() => setStage("in")} />
      )}
    </ClientContext.Provider>
  );
}

async function begin(client: Hubbub, fragment: Fragment): Promise<boolean> {
  if (fragment.login !== undefined) {
    await client.useLink(fragment.login);
    return true;
  }
  if (fragment.invite !== undefined) return false;
  return client.start();
}
