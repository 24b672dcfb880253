/** The session of this browser, shared by all tabs. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import * as accessToken from "../api/access-token";
import { requestJson } from "../api/client";
import type { User } from "../api/types";

type SessionState =
  | { kind: "loading" }
  | { kind: "error"; error: unknown }
  | { kind: "signed-out"; sessionEnded: boolean }
  | { kind: "signed-in"; user: User };

interface Session {
  state: SessionState;
  signIn: (email: string, password: string) => Promise<void>;
  signOut: () => Promise<void>;
  /** Replaces the user after a change of the profile. */
  setUser: (user: User) => void;
  /** Loads the session again after an error. */
  retry: () => void;
}

const SessionContext = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<SessionState>({ kind: "loading" });
  const queryClient = useQueryClient();

  const loadSession = useCallback(async () => {
    try {
      const signedIn = (await accessToken.accessToken()) !== null;
      setState(
        signedIn
          ? { kind: "signed-in", user: await requestJson<User>("/api/user/me") }
          : { kind: "signed-out", sessionEnded: false },
      );
    } catch (error) {
      setState({ kind: "error", error });
    }
  }, []);

  useEffect(() => {
    void loadSession();
    const unsubscribeEnd = accessToken.onSessionEnd(() => {
      queryClient.clear();
      setState({ kind: "signed-out", sessionEnded: true });
    });
    const unsubscribeToken = accessToken.onTokenReceived(() => void loadSession());
    return () => {
      unsubscribeEnd();
      unsubscribeToken();
    };
  }, [loadSession, queryClient]);

  const session = useMemo<Session>(
    () => ({
      state,
      signIn: async (email, password) => {
        await accessToken.signIn(email, password);
        setState({ kind: "signed-in", user: await requestJson<User>("/api/user/me") });
      },
      signOut: accessToken.signOut,
      setUser: (user) => setState({ kind: "signed-in", user }),
      retry: () => {
        setState({ kind: "loading" });
        void loadSession();
      },
    }),
    [state, loadSession],
  );
  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession must be used within SessionProvider");
  return session;
}

/** The signed-in user; only for components below `RequireSession`. */
export function useUser(): User {
  const { state } = useSession();
  if (state.kind !== "signed-in") throw new Error("useUser must be used below RequireSession");
  return state.user;
}
