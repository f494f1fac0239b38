import { useEffect, useState } from "preact/hooks";

import { asHubbubError, type User } from "@hubbub/client";

import { useClient } from "./client";
import { nameOf } from "./format";
import { Avatar, Problem } from "./parts";

const PAUSE_MS = 200;

/** Search people by name and pick them. */
export function PeoplePicker(props: {
  action: string;
  skip?: readonly string[];
  onPick: (user: User) => void;
}) {
  const client = useClient();
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<User[]>();
  const [problem, setProblem] = useState("");

  useEffect(() => {
    const timer = setTimeout(() => {
      client.api.users(query.trim()).then(
        ({ users }) => {
          setProblem("");
          setFound(users);
        },
        (refusal: unknown) => setProblem(asHubbubError(refusal).message),
      );
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [client, query]);

  const hidden = new Set([...(props.skip ?? []), client.me?.id]);
  const shown = found?.filter((user) => !hidden.has(user.id));
  return (
    <div class="picker">
      <label for="people-query">Find people</label>
      <input
        id="people-query"
        type="search"
        value={query}
        placeholder="Name or user name"
        autocomplete="off"
        onInput={(event) => setQuery(event.currentTarget.value)}
        onKeyDown={(event) => {
          // Enter would send the form around it.
          if (event.key === "Enter") event.preventDefault();
        }}
      />
      <Problem text={problem} />
      <ul class="members" aria-live="polite">
        {shown?.map((user) => (
          <li key={user.id}>
            <Avatar id={user.id} name={nameOf(user)} small />
            <span class="room-words">
              <span>{nameOf(user)}</span>
              <span class="hint">@{user.username}</span>
            </span>
            <button type="button" aria-label={`${props.action} ${nameOf(user)}`} onClick={() => props.onPick(user)}>
              {props.action}
            </button>
          </li>
        ))}
      </ul>
      {shown?.length === 0 && (
        <p class="hint">
          Nobody found. You can find people you share a room with, and everybody where this server says so.
        </p>
      )}
    </div>
  );
}
