import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { createBrowserRouter, RouterProvider } from "react-router";
import { AccountNav } from "./account/nav";
import { createQueryClient } from "./api/query-client";
import { loadAdminTranslations } from "./i18n";
import { RouteErrorPage } from "./layout/error-boundary";
import { NotFoundPage } from "./layout/not-found";
import { Shell } from "./layout/shell";
import { useRejectFiles } from "./layout/use-reject-files";
import { ROUTER_BASENAME } from "./lib/base-url";
import { ForgotPasswordPage } from "./session/forgot-password";
import { ResetPasswordPage } from "./session/reset-password";
import { RequireAdmin, RequireSession, RequireSignedOut } from "./session/route-guards";
import { SessionProvider } from "./session/session-provider";
import { SignInPage } from "./session/sign-in";
import { SignUpPage } from "./session/sign-up";
import { LiveRegion } from "./ui/live-region";
import { ToastContainer } from "./ui/toast";

// Components are lazy instead of routes: the URL changes at once, so a reload while loading opens the right page.
const ChatLayout = lazy(async () => ({ default: (await import("./chat/chat-layout")).ChatLayout }));
const ChatPage = lazy(async () => ({ default: (await import("./chat/chat-layout")).ChatPage }));
const AccountRoutes = lazy(() => import("./account/routes"));
const AdminRoutes = lazy(
  async () => (await Promise.all([import("./admin/routes"), loadAdminTranslations()]))[0],
);
const AdminNav = lazy(async () => {
  const [{ AdminNav }] = await Promise.all([import("./admin/nav"), loadAdminTranslations()]);
  return { default: AdminNav };
});

const publicRoutes = {
  element: <RequireSignedOut />,
  children: [
    { path: "/sign-in", element: <SignInPage /> },
    { path: "/sign-up", element: <SignUpPage /> },
    { path: "/forgot", element: <ForgotPasswordPage /> },
    { path: "/reset", element: <ResetPasswordPage /> },
  ],
};

const chatRoutes = {
  element: (
    <Suspense>
      <ChatLayout />
    </Suspense>
  ),
  children: [
    // One element for both paths: the composer keeps its state when a new conversation gets its id.
    { element: <ChatPage />, children: [{ path: "/" }, { path: "/c/:conversationId" }] },
  ],
};

const accountRoutes = {
  element: <Shell sidebar={<AccountNav />} />,
  children: [{ path: "/account/*", element: <AccountRoutes /> }],
};

const adminRoutes = {
  element: <RequireAdmin />,
  children: [
    {
      element: (
        <Shell
          sidebar={
            <Suspense>
              <AdminNav />
            </Suspense>
          }
        />
      ),
      children: [{ path: "/admin/*", element: <AdminRoutes /> }],
    },
  ],
};

const router = createBrowserRouter(
  [
    {
      errorElement: <RouteErrorPage />,
      children: [
        publicRoutes,
        { element: <RequireSession />, children: [chatRoutes, accountRoutes, adminRoutes] },
        { path: "*", element: <NotFoundPage /> },
      ],
    },
  ],
  { basename: ROUTER_BASENAME || "/" },
);

export function App() {
  const [queryClient] = useState(createQueryClient);
  // Renders everything again when the language changes.
  useTranslation();
  useRejectFiles();
  return (
    <QueryClientProvider client={queryClient}>
      <SessionProvider>
        <RouterProvider router={router} />
        <ToastContainer />
        <LiveRegion />
      </SessionProvider>
    </QueryClientProvider>
  );
}
