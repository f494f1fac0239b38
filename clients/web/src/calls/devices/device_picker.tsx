/** Microphone, camera and loudspeaker: chosen, seen and heard before anybody else sees and hears them. */

import { useEffect, useRef, useState } from "preact/hooks";

import { Dialog, Icon, Problem } from "../../parts";
import { useDesk } from "../desk";
import { levelOf } from "./levels";
import { Picture } from "../running/picture";
import { prefer, usePreferences, type Preferences } from "./preferences";
import { playTest } from "../ringing/tones";
import { useClient } from "../../client";
import { usePreview } from "./preview";

/** Before a call, or from the settings: with a picture and a level of its own. */
export function DeviceCheck() {
  const client = useClient();
  const desk = useDesk();
  const kept = usePreferences();
  const { intent } = desk;
  const { available, unavailableBecause } = client.calls;
  const withCamera = intent === undefined || intent.media === "video";
  const preview = usePreview({ mic: kept.mic, camera: kept.camera, withCamera });
  const close = () => (intent ? desk.proceed(false) : desk.showDevices(false));
  return (
    <Dialog title={intent ? "Ready to call?" : "Microphone, camera, loudspeaker"} onClose={close}>
      {withCamera && (
        <div class="preview">
          {preview.stream && preview.stream.getVideoTracks().length > 0 ? (
            <Picture stream={preview.stream} mirrored label="Your camera" />
          ) : (
            <p>{preview.waiting ? "Opening the camera …" : "No picture"}</p>
          )}
        </div>
      )}
      <Problem text={available ? preview.problem : (unavailableBecause ?? "")} />
      <Devices kept={kept} withCamera={withCamera} stream={preview.stream} />
      {intent ? (
        <div class="row">
          <button type="button" class="primary" onClick={() => desk.proceed(true)}>
            {intent.media === "video" ? "Start the video call" : "Call"}
          </button>
          <button type="button" onClick={close}>
            Not now
          </button>
        </div>
      ) : (
        <Habits kept={kept} />
      )}
    </Dialog>
  );
}

/** In a call: what is chosen is taken at once. */
export function DevicesInCall() {
  const client = useClient();
  const desk = useDesk();
  const kept = usePreferences();
  const call = client.calls.current;
  const { mic, camera, speaker } = kept;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else void call?.choose({ mic, camera, speaker });
  }, [mic, camera, speaker]);
  return (
    <Dialog title="Microphone, camera, loudspeaker" onClose={() => desk.showDevices(false)}>
      {call?.localCamera && (
        <div class="preview">
          <Picture stream={call.localCamera} mirrored label="Your camera" />
        </div>
      )}
      <Problem text={call?.problem ?? ""} />
      <Devices kept={kept} withCamera level={call ? () => call.level() : undefined} />
      <Habits kept={kept} />
    </Dialog>
  );
}

interface DevicesProps {
  kept: Preferences;
  withCamera: boolean;
  stream?: MediaStream | undefined;
  level?: (() => number) | undefined;
}

function Devices({ kept, withCamera, stream, level }: DevicesProps) {
  const devices = useDevices(stream);
  const [problem, setProblem] = useState("");
  const speakers = devices.filter(({ kind }) => kind === "audiooutput");
  const test = () => {
    playTest(kept.speaker).then(
      () => setProblem(""),
      () => setProblem("This loudspeaker cannot be used."),
    );
  };
  return (
    <div class="devices">
      <Choice
        label="Microphone"
        kind="audioinput"
        devices={devices}
        value={kept.mic}
        onChange={(mic) => prefer({ mic })}
      />
      <Level stream={stream} read={level} />
      {withCamera && (
        <Choice
          label="Camera"
          kind="videoinput"
          devices={devices}
          value={kept.camera}
          onChange={(camera) => prefer({ camera })}
        />
      )}
      {speakers.length > 0 && (
        <Choice
          label="Loudspeaker"
          kind="audiooutput"
          devices={devices}
          value={kept.speaker}
          onChange={(speaker) => prefer({ speaker })}
        />
      )}
      <button type="button" class="with-icon" onClick={test}>
        <Icon name="speaker" /> Play a test sound
      </button>
      <Problem text={problem} />
    </div>
  );
}

function Habits({ kept }: { kept: Preferences }) {
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          checked={kept.checkFirst}
          onChange={(event) => prefer({ checkFirst: event.currentTarget.checked })}
        />
        Show this before each call
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={kept.keys}
          onChange={(event) => prefer({ keys: event.currentTarget.checked })}
        />
        Single keys act in a call (M, V, S …)
      </label>
    </>
  );
}

interface ChoiceProps {
  label: string;
  kind: MediaDeviceKind;
  devices: readonly MediaDeviceInfo[];
  value: string;
  onChange: (id: string) => void;
}

function Choice({ label, kind, devices, value, onChange }: ChoiceProps) {
  // "default" stands for the system's choice, which is our empty id.
  const offered = devices.filter((device) => device.kind === kind && device.deviceId !== "default" && device.deviceId);
  const known = offered.some(({ deviceId }) => deviceId === value);
  return (
    <label class="choice">
      <span>{label}</span>
      <select value={known ? value : ""} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">As the system has it</option>
        {offered.map(({ deviceId, label: name }, index) => (
          <option key={deviceId} value={deviceId}>
            {name || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}

const BARS = 20;

/** Twenty little lamps. Drawn without the framework: ten times a second. */
function Level({ stream, read }: { stream: MediaStream | undefined; read: (() => number) | undefined }) {
  const meter = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const own = stream ? levelOf(stream) : undefined;
    const source = read ?? own?.read;
    const timer = setInterval(() => {
      // The ear hears ratios: a quiet voice shows too.
      const lit = Math.round(Math.sqrt(source?.() ?? 0) * BARS);
      meter.current?.setAttribute("aria-valuenow", String(lit));
      meter.current?.style.setProperty("--lit", `${(lit / BARS) * 100}%`);
    }, 100);
    return () => {
      clearInterval(timer);
      own?.close();
    };
  }, [stream]);
  return (
    <div
      class="level"
      ref={meter}
      role="meter"
      aria-label="Level of the microphone"
      aria-valuemin={0}
      aria-valuemax={BARS}
      aria-valuenow={0}
    />
  );
}

/** Their names are told once a device may be used: asked for again then, and when one is plugged in. */
function useDevices(stream: MediaStream | undefined): readonly MediaDeviceInfo[] {
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    const look = () => void media?.enumerateDevices().then(setDevices, () => undefined);
    look();
    media?.addEventListener("devicechange", look);
    return () => media?.removeEventListener("devicechange", look);
  }, [stream]);
  return devices;
}
