/** A choice of this browser's, kept where it may be kept; never anything secret. */
export function readPreference(name: string): string | null {
  try {
    return localStorage.getItem(`gw.${name}`);
  } catch {
    return null; // storage is switched off: the choice lives as long as the page
  }
}

export function writePreference(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`gw.${name}`);
    else localStorage.setItem(`gw.${name}`, value);
  } catch {
    // as above
  }
}
