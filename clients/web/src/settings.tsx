import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type SessionInfo, type TotpSetup } from "@hubbub/client";

import { useDesk } from "./calls/desk";
import { useClient } from "./client";
import { momentOf, nameOf } from "./format";
import { Dialog, Field, Problem, valuesOf } from "./parts";

/** One's own name, password, second factor and sessions. */
export function Settings({ onClose }: { onClose: () => void }) {
  const client = useClient();
  return (
    <Dialog title="Settings" onClose={onClose}>
      <FormSection title="Name" action="Save" done="Saved." onSubmit={(values) => client.setDisplayName(values["display_name"]!)}>
        <Field label="Display name" name="display_name" value={nameOf(client.me ?? undefined)} maxLength={200} required />
      </FormSection>
      <StatusSection />
      <CallSection onClose={onClose} />
      <FormSection
        title="Password"
        action="Change the password"
        done="Changed. Your other sessions were signed out."
        onSubmit={(values) =>
          client.api.changePassword({
            old_password: values["old_password"]!,
            new_password: values["new_password"]!,
          })
        }
      >
        <Field label="Current password" name="old_password" type="password" autocomplete="current-password" required />
        <Field
          label="New password"
          name="new_password"
          type="password"
          autocomplete="new-password"
          minLength={8}
          maxLength={256}
          hint="At least 8 characters."
          required
        />
      </FormSection>
      <SecondFactor />
      <Sessions />
      <section class="settings">
        <button type="button" class="danger" onClick={() => void client.logOut()}>
          Log out
        </button>
      </section>
    </Dialog>
  );
}

interface FormSectionProps {
  title: string;
  action: string;
  done: string;
  children: preact.ComponentChildren;
  onSubmit: (values: Record<string, string>) => Promise<unknown>;
}

function FormSection({ title, action, done, children, onSubmit }: FormSectionProps) {
  const [problem, setProblem] = useState("");
  const [saved, setSaved] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setProblem("");
    setSaved(false);
    try {
      await onSubmit(valuesOf(form));
      setSaved(true);
      for (const input of form.querySelectorAll<HTMLInputElement>("input[type=password]")) input.value = "";
    } catch (refusal) {
      setProblem(asHubbubError(refusal).message);
    }
  };
  return (
    <section class="settings">
      <h3>{title}</h3>
      <form onSubmit={(event) => void submit(event)}>
        {children}
        <Problem text={problem} />
        <div class="row">
          <button type="submit">{action}</button>
          <span class="hint" role="status">
            {saved ? done : ""}
          </span>
        </div>
      </form>
    </section>
  );
}

function CallSection({ onClose }: { onClose: () => void }) {
  const desk = useDesk();
  const open = () => {
    onClose();
    desk.showDevices(true);
  };
  return (
    <section class="settings">
      <h3>Calls</h3>
      <button type="button" onClick={open}>
        Microphone, camera, loudspeaker
      </button>
    </section>
  );
}

const STATUSES = ["online", "away", "busy", "invisible"] as const;

function StatusSection() {
  const client = useClient();
  const [status, setStatus] = useState<(typeof STATUSES)[number]>("online");
  const [problem, setProblem] = useState("");
  const choose = (next: (typeof STATUSES)[number]) => {
    setStatus(next);
    client.setPresence(next).then(
      () => setProblem(""),
      (refusal: unknown) => setProblem(asHubbubError(refusal).message),
    );
  };
  return (
    <section class="settings">
      <h3>Status</h3>
      <label class="hidden-words" for="status">
        Status
      </label>
      <select id="status" value={status} onChange={(event) => choose(event.currentTarget.value as typeof status)}>
        {STATUSES.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <Problem text={problem} />
    </section>
  );
}

function SecondFactor() {
  const client = useClient();
  const [enabled, setEnabled] = useState<boolean>();
  const [setup, setSetup] = useState<TotpSetup>();
  const [codes, setCodes] = useState<string[]>();
  useEffect(() => {
    client.api.totp().then(
      (state) => setEnabled(state.enabled),
      () => setEnabled(undefined),
    );
  }, [client, codes]);

  if (codes) {
    return (
      <section class="settings">
        <h3>Second factor</h3>
        <p>It is on. Keep these recovery codes in a safe place; each works once:</p>
        <pre class="codes">{codes.join("\n")}</pre>
      </section>
    );
  }
  if (enabled === undefined) return null;
  if (enabled) {
    return (
      <FormSection
        key="off"
        title="Second factor"
        action="Turn it off"
        done="It is off."
        onSubmit={async (values) => {
          await client.api.disableTotp({ password: values["totp_password"]!, totp: values["totp"]! });
          setEnabled(false);
        }}
      >
        <Field label="Your password" name="totp_password" type="password" autocomplete="current-password" required />
        <Field label="Code" name="totp" autocomplete="one-time-code" required />
      </FormSection>
    );
  }
  if (!setup) {
    return (
      <FormSection
        key="begin"
        title="Second factor"
        action="Set up"
        done=""
        onSubmit={async (values) => setSetup(await client.api.beginTotp({ password: values["totp_password"]! }))}
      >
        <Field label="Your password" name="totp_password" type="password" autocomplete="current-password" required />
      </FormSection>
    );
  }
  return (
    <FormSection
      key="confirm"
      title="Second factor"
      action="Confirm"
      done=""
      onSubmit={async (values) => {
        const answer = await client.api.confirmTotp({ setup: setup.setup, code: values["code"]! });
        setSetup(undefined);
        setCodes(answer.recovery_codes);
      }}
    >
      <p>
        Add this key to your authenticator app (or <a href={setup.uri}>open it there</a>), then type the code that it shows.
      </p>
      <pre class="codes">{setup.secret}</pre>
      <Field label="Code" name="code" autocomplete="one-time-code" inputmode="numeric" required autofocus />
    </FormSection>
  );
}

function Sessions() {
  const client = useClient();
  const [sessions, setSessions] = useState<SessionInfo[]>();
  const [problem, setProblem] = useState("");
  const load = () =>
    client.api.sessions().then(
      (answer) => setSessions(answer.sessions),
      (refusal: unknown) => setProblem(asHubbubError(refusal).message),
    );
  useEffect(() => void load(), [client]);
  const end = (id: string) =>
    client.api.endSession(id).then(load, (refusal: unknown) => setProblem(asHubbubError(refusal).message));
  return (
    <section class="settings">
      <h3>Where you are logged in</h3>
      <Problem text={problem} />
      <ul class="members">
        {sessions?.map((session) => (
          <li key={session.id}>
            <span class="room-words">
              <span>{session.device.name || "A device"}{session.current && " (this one)"}</span>
              <span class="hint">last used {momentOf(session.last_used_at)}</span>
            </span>
            {!session.current && (
              <button type="button" aria-label={`Sign out ${session.device.name}`} onClick={() => void end(session.id)}>
                Sign out
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
