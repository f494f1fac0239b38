/** What a page shows of the others in a call. */

import type { Peer } from "./peer.js";
import type { Participant, RemoteMedia } from "./types.js";

/** One for each person: of someone who is about to change devices, the one that is connected. */
export function remotesOf(
  participants: readonly Participant[],
  peers: ReadonlyMap<string, Peer>,
): readonly RemoteMedia[] {
  const byUser = new Map<string, Participant>();
  for (const participant of participants) {
    const before = byUser.get(participant.user_id);
    if (!before || peers.get(participant.device_id)?.connected) byUser.set(participant.user_id, participant);
  }
  return [...byUser.values()].map((participant) => remoteOf(participant, peers.get(participant.device_id)));
}

function remoteOf({ user_id, device_id, tracks }: Participant, peer: Peer | undefined): RemoteMedia {
  const [audio, camera] = [peer?.stream("mic"), peer?.stream("camera")];
  const [screen, screenAudio] = [peer?.stream("screen"), peer?.stream("screen_audio")];
  return {
    user_id,
    device_id,
    ...(audio && { audio }),
    ...(camera && { camera }),
    ...(screen && { screen }),
    ...(screenAudio && { screenAudio }),
    sending: new Set(tracks.filter(({ muted }) => !muted).map(({ source }) => source)),
  };
}
