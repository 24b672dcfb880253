/** Per-browser preferences in `localStorage`. Never store secrets here. */

export function readPreference(name: string): string | null {
  try {
    return localStorage.getItem(`gw.${name}`);
  } catch {
    return null; // storage is disabled
  }
}

/** Stores a preference, or removes it if `value` is null; does nothing if storage is disabled. */
export function writePreference(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`gw.${name}`);
    else localStorage.setItem(`gw.${name}`, value);
  } catch {
    // Storage is disabled: the preference lasts until the page is closed.
  }
}
