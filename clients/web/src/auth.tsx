import { useContext, useEffect, useState } from "preact/hooks";

import { asHubbubError, type Hubbub, type ServerInfo } from "@hubbub/client";

import { ClientContext } from "./client";
import { Field, Problem, valuesOf } from "./parts";

interface AuthProps {
  invite?: string | undefined;
  notice: string;
  onDone: () => void;
}

/** Log in, or make an account where the server takes new ones. */
export function Auth({ invite, notice, onDone }: AuthProps) {
  const client = useContext(ClientContext);
  const [mode, setMode] = useState<"login" | "signup">(invite ? "signup" : "login");
  const [info, setInfo] = useState<ServerInfo>();
  const [problem, setProblem] = useState(notice);
  const [needsCode, setNeedsCode] = useState(false);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    document.title = "Hubbub";
    client.serverInfo().then(setInfo, (refusal: unknown) => setProblem(asHubbubError(refusal).message));
  }, [client]);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = valuesOf(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setProblem("");
    try {
      await (mode === "signup" ? signUp(client, values) : logIn(client, values));
      onDone();
    } catch (refusal) {
      const error = asHubbubError(refusal);
      const firstAsk = error.field === "totp" && !needsCode;
      if (error.field === "totp") setNeedsCode(true);
      setProblem(firstAsk ? "" : error.message);
    } finally {
      setBusy(false);
    }
  };

  const change = (next: "login" | "signup") => () => {
    setMode(next);
    setProblem("");
    setNeedsCode(false);
  };
  const open = info?.registration === "open" || info?.registration === "invite";

  return (
    <main class="auth">
      <form class="card" key={mode} onSubmit={submit}>
        <h1 class="brand">
          <img src="/favicon.svg" alt="" width="40" height="40" /> Hubbub
        </h1>
        <p class="lead">{mode === "login" ? "Welcome back." : "Make an account on this server."}</p>
        {mode === "login" ? (
          <LogInFields needsCode={needsCode} />
        ) : (
          <SignUpFields invite={invite} needsInvite={info?.registration === "invite"} />
        )}
        <Problem text={problem} />
        <button class="primary" type="submit" disabled={busy}>
          {mode === "login" ? "Log in" : "Sign up"}
        </button>
        {mode === "signup" && (
          <button class="link" type="button" onClick={change("login")}>
            I have an account: log in
          </button>
        )}
        {mode === "login" && open && (
          <button class="link" type="button" onClick={change("signup")}>
            New here? Sign up
          </button>
        )}
      </form>
    </main>
  );
}

function LogInFields({ needsCode }: { needsCode: boolean }) {
  return (
    <>
      <Field label="User name" name="username" autocomplete="username" required autofocus />
      <Field label="Password" name="password" type="password" autocomplete="current-password" required />
      {needsCode && (
        <Field
          label="Code of your second factor"
          name="totp"
          autocomplete="one-time-code"
          hint="Six digits from your authenticator app, or a recovery code."
          required
          autofocus
        />
      )}
    </>
  );
}

function SignUpFields({ invite, needsInvite }: { invite?: string | undefined; needsInvite: boolean }) {
  return (
    <>
      {(needsInvite || invite) && (
        <Field
          label="Invitation code"
          name="invite"
          value={invite ?? ""}
          hint="From the link that somebody here sent you."
          required
        />
      )}
      <Field
        label="User name"
        name="username"
        autocomplete="username"
        pattern="[A-Za-z0-9_.\-]{2,32}"
        hint="2 to 32 letters, digits, dots, dashes or underscores."
        required
        autofocus
      />
      <Field label="Display name (optional)" name="display_name" autocomplete="name" maxLength={200} />
      <Field
        label="Password"
        name="password"
        type="password"
        autocomplete="new-password"
        minLength={8}
        maxLength={256}
        hint="At least 8 characters."
        required
      />
    </>
  );
}

function signUp(client: Hubbub, values: Record<string, string>): Promise<void> {
  const { username = "", password = "", display_name, invite } = values;
  return client.signUp({
    username,
    password,
    ...(display_name ? { display_name } : {}),
    ...(invite ? { invite } : {}),
  });
}

function logIn(client: Hubbub, values: Record<string, string>): Promise<void> {
  const { username = "", password = "", totp } = values;
  return client.logIn({
    username,
    password,
    platform: "web",
    device_name: deviceName(),
    ...(totp ? { totp } : {}),
  });
}

/** What the list of sessions calls this browser. */
function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = ["Firefox", "Edg", "Chrome", "Safari"].find((name) => agent.includes(name)) ?? "Browser";
  const system = ["Windows", "Android", "iPhone", "Mac", "Linux"].find((name) => agent.includes(name));
  const known = browser === "Edg" ? "Edge" : browser;
  return system ? `${known} on ${system}` : known;
}
