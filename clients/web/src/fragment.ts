/** One-time codes arrive in the URL's fragment: it is never sent to a server, and we remove it at once. */

export interface Fragment {
  /** A login link's code. */
  login?: string;
  /** An invitation's code. */
  invite?: string;
}

export function parseFragment(hash: string): Fragment {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const fragment: Fragment = {};
  const login = given.get("login");
  const invite = given.get("invite");
  if (login) fragment.login = login;
  if (invite) fragment.invite = invite;
  return fragment;
}

/** Read the fragment and take it out of the address bar and the history. */
export function takeFragment(): Fragment {
  const fragment = parseFragment(location.hash);
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return fragment;
}
