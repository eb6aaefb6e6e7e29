/** The page: nothing before it is known who looks, then the sign-in or the frame with its view. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError } from "../api/client";
import { returns } from "../api/connection";
import { hasExpired, isSignedIn, loadSession, session } from "../api/session";
import { ErrorNote } from "../parts/error_note";
import { Frame } from "./frame";
import { Brand } from "./icons";
import { SignIn, SignInAgain } from "./sign_in";

export function App(): JSX.Element {
  const error = useSignal<ApiError | null>(null);
  const ask = async () => {
    const answer = await loadSession();
    error.value = answer.ok ? null : answer.error;
  };
  useEffect(() => returns.subscribe(() => void ask()), []);
  const hasBegun = useRef(false);
  if (isSignedIn.value) hasBegun.current = true;
  else if (session.value !== null && !hasExpired.value) hasBegun.current = false;
  if (hasBegun.current) {
    return (
      <>
        <div class={isSignedIn.value ? "page-cover" : "page-cover closed"}>
          <Frame />
        </div>
        {!isSignedIn.value && <SignInAgain />}
      </>
    );
  }
  if (session.value !== null) return <SignIn />;
  if (error.value) return <NoHost error={error.value} retry={() => void ask()} />;
  return <main class="sign-in" aria-busy="true" aria-label="Tenuto" />;
}

function NoHost({ error, retry }: { readonly error: ApiError; readonly retry: () => void }): JSX.Element {
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <p class="brand">
          <Brand /> Tenuto
        </p>
        <h1>{error.status === 0 ? "The host does not answer" : "The host cannot be used"}</h1>
        <ErrorNote error={error} retry={retry} />
        {error.status === 0 && (
          <p class="quiet-text">This page asks again by itself, and goes on as soon as there is an answer.</p>
        )}
      </div>
    </main>
  );
}
