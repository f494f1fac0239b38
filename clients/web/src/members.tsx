import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type Member, type Role, type Room } from "@hubbub/client";

import { useClient } from "./client";
import { nameOf } from "./format";
import { Avatar, IconButton, Problem } from "./parts";
import { PeoplePicker } from "./people_picker";

/** Who is in the room, and what may be done about it. */
export function Members(props: { room: Room; onClose: () => void; onLeft: () => void }) {
  const { room } = props;
  const client = useClient();
  const [members, setMembers] = useState<Member[]>();
  const [problem, setProblem] = useState("");
  const [adding, setAdding] = useState(false);
  const rules = room.role === "owner" || room.role === "admin";

  const attempt = async (act: () => Promise<unknown>) => {
    setProblem("");
    try {
      await act();
      setMembers(await client.members(room.id));
    } catch (refusal) {
      setProblem(asHubbubError(refusal).message);
    }
  };
  useEffect(() => void attempt(async () => undefined), [room.id, room.member_count]);

  const leave = () =>
    attempt(async () => {
      await client.api.removeMember(room.id, "me");
      props.onLeft();
    });

  return (
    <aside class="side" aria-label="Members">
      <header class="room-head">
        <h2>Members</h2>
        <IconButton icon="close" label="Close the members" onClick={props.onClose} />
      </header>
      <div class="side-body">
        <Problem text={problem} />
        <ul class="members">
          {members?.map((member) => (
            <li key={member.user.id}>
              <Avatar id={member.user.id} name={nameOf(member.user)} small presence={client.people.presenceOf(member.user.id)} />
              <span class="room-words">
                <span>{nameOf(member.user)}</span>
                <span class="hint">@{member.user.username}</span>
              </span>
              {rules && member.user.id !== client.me?.id ? (
                <RolePicker
                  member={member}
                  own={room.role}
                  onChange={(role) => attempt(() => client.api.changeRole(room.id, member.user.id, role))}
                  onRemove={() => attempt(() => client.api.removeMember(room.id, member.user.id))}
                />
              ) : (
                <span class="hint">{member.role}</span>
              )}
            </li>
          ))}
        </ul>
        {adding && (
          <PeoplePicker
            action="Add"
            skip={members?.map((member) => member.user.id) ?? []}
            onPick={(user) => attempt(() => client.api.addMembers(room.id, [user.id]))}
          />
        )}
        <div class="row">
          {rules && !adding && (
            <button type="button" onClick={() => setAdding(true)}>
              Add people
            </button>
          )}
          <button type="button" class="danger" onClick={() => void leave()}>
            Leave this room
          </button>
        </div>
      </div>
    </aside>
  );
}

function RolePicker(props: { member: Member; own: Role; onChange: (role: Role) => void; onRemove: () => void }) {
  const roles: Role[] = props.own === "owner" ? ["owner", "admin", "member"] : ["admin", "member"];
  const name = nameOf(props.member.user);
  if (!roles.includes(props.member.role)) return <span class="hint">{props.member.role}</span>;
  return (
    <>
      <select
        aria-label={`Role of ${name}`}
        value={props.member.role}
        onChange={(event) => props.onChange(event.currentTarget.value as Role)}
      >
        {roles.map((role) => (
          <option key={role} value={role}>
            {role}
          </option>
        ))}
      </select>
      <IconButton icon="close" label={`Remove ${name}`} onClick={props.onRemove} />
    </>
  );
}
