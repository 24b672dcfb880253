import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { createBrowserRouter, RouterProvider } from "react-router";
import { AccountNav } from "./account/nav";
import { makeQueryClient } from "./api/query-client";
import { loadAdminWords } from "./i18n";
import { Crashed, NotFound } from "./layout/failures";
import { Shell } from "./layout/shell";
import { useNoFiles } from "./layout/use-no-files";
import { BASENAME } from "./lib/root";
import Forgot from "./session/forgot";
import { OnlySignedOut, RequireAdmin, RequireSession } from "./session/guards";
import Reset from "./session/reset";
import { SessionProvider } from "./session/session";
import SignIn from "./session/sign-in";
import SignUp from "./session/sign-up";
import { Announcer } from "./ui/announcer";
import { Toasts } from "./ui/toast";

// Not part of what the sign-in page waits for; `main.tsx` fetches it beside the session.
const ChatFrame = lazy(async () => ({ default: (await import("./chat/area")).ChatFrame }));
const ChatPage = lazy(async () => ({ default: (await import("./chat/area")).ChatPage }));

// Parts rather than routes are loaded late: the address changes first, and a page loaded anew comes to it.
const AccountPages = lazy(() => import("./account/pages"));
const AdminPages = lazy(async () => (await Promise.all([import("./admin/pages"), loadAdminWords()]))[0]);
const AdminNav = lazy(async () => {
  const [{ AdminNav }] = await Promise.all([import("./admin/nav"), loadAdminWords()]);
  return { default: AdminNav };
});

const router = createBrowserRouter(
  [
    {
      errorElement: <Crashed />,
      children: [
        {
          element: <OnlySignedOut />,
          children: [
            { path: "/sign-in", element: <SignIn /> },
            { path: "/sign-up", element: <SignUp /> },
            { path: "/forgot", element: <Forgot /> },
            { path: "/reset", element: <Reset /> },
          ],
        },
        {
          element: <RequireSession />,
          children: [
            {
              element: (
                <Suspense>
                  <ChatFrame />
                </Suspense>
              ),
              children: [
                // One page for both, so that a conversation that gets its id keeps the field and what is in it.
                { element: <ChatPage />, children: [{ path: "/" }, { path: "/c/:conversationId" }] },
              ],
            },
            {
              element: <Shell side={<AccountNav />} />,
              children: [
                {
                  path: "/account/*",
                  element: <AccountPages />,
                },
              ],
            },
            {
              element: <RequireAdmin />,
              children: [
                {
                  element: (
                    <Shell
                      side={
                        <Suspense>
                          <AdminNav />
                        </Suspense>
                      }
                    />
                  ),
                  children: [{ path: "/admin/*", element: <AdminPages /> }],
                },
              ],
            },
          ],
        },
        { path: "*", element: <NotFound /> },
      ],
    },
  ],
  { basename: BASENAME || "/" },
);

export function App() {
  const [queries] = useState(makeQueryClient);
  // The words' language is part of everything below.
  useTranslation();
  useNoFiles();
  return (
    <QueryClientProvider client={queries}>
      <SessionProvider>
        <RouterProvider router={router} />
        <Toasts />
        <Announcer />
      </SessionProvider>
    </QueryClientProvider>
  );
}
