import { Dialog } from "../../parts";
import { KEYS, keyName, type Shortcut } from "./shortcuts";

/** Which key does what. */
export function KeysHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys in a call" onClose={onClose}>
      <dl class="keys">
        {(Object.keys(KEYS) as Shortcut[]).map((name) => (
          <div key={name}>
            <dt>
              <kbd>{keyName(name)}</kbd>
            </dt>
            <dd>{KEYS[name].text}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">Not while you write. They can be switched off under Devices.</p>
    </Dialog>
  );
}
