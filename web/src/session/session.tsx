/** Who is signed in in this browser; tabs sign in and out together. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { call } from "../api/client";
import type { User } from "../api/types";
import * as token from "./token";

type State =
  | { kind: "checking" }
  | { kind: "unknown"; error: unknown }
  | { kind: "out"; ended: boolean }
  | { kind: "in"; user: User };

interface Session {
  state: State;
  signIn: (email: string, password: string) => Promise<void>;
  signOut: () => Promise<void>;
  /** After a change of the profile. */
  changed: (user: User) => void;
  check: () => void;
}

const Context = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<State>({ kind: "checking" });
  const queries = useQueryClient();

  const check = useCallback(async () => {
    try {
      const known = (await token.accessToken()) !== null;
      setState(
        known ? { kind: "in", user: await call<User>("/api/user/me") } : { kind: "out", ended: false },
      );
    } catch (error) {
      setState({ kind: "unknown", error });
    }
  }, []);

  useEffect(() => {
    void check();
    const stopEnding = token.onSessionEnd(() => {
      queries.clear();
      setState({ kind: "out", ended: true });
    });
    const stopArrival = token.onTokenArrival(() => void check());
    return () => {
      stopEnding();
      stopArrival();
    };
  }, [check, queries]);

  const session = useMemo<Session>(
    () => ({
      state,
      signIn: async (email, password) => {
        await token.signIn(email, password);
        setState({ kind: "in", user: await call<User>("/api/user/me") });
      },
      signOut: token.signOut,
      changed: (user) => setState({ kind: "in", user }),
      check: () => {
        setState({ kind: "checking" });
        void check();
      },
    }),
    [state, check],
  );
  return <Context value={session}>{children}</Context>;
}

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("outside of SessionProvider");
  return session;
}

/** The person who is signed in; for what stands behind `RequireSession`. */
export function useUser(): User {
  const { state } = useSession();
  if (state.kind !== "in") throw new Error("nobody is signed in");
  return state.user;
}
