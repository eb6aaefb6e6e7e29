/** Asks for a key. It goes to the host once, for a session; the page keeps nothing of it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError } from "../api/client";
import { hasExpired, signIn } from "../api/session";
import { Button } from "../parts/button";
import { ErrorNote } from "../parts/error_note";
import { Brand } from "./icons";

export function SignIn(): JSX.Element {
  return (
    <main class="sign-in">
      <SignInForm />
    </main>
  );
}

/** Instead of the page, which is hidden but stays: what was typed there is not lost with the session. */
export function SignInAgain(): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const before = useRef(document.title);
  useEffect(() => {
    element.current?.showModal();
    return () => {
      element.current?.close();
      document.title = before.current;
    };
  }, []);
  return (
    <dialog
      ref={element}
      class="dialog sign-in-again"
      aria-label="Sign in again"
      onCancel={(event) => event.preventDefault()}
      onKeyDown={(event) => {
        // A second Escape would close it without asking.
        if (event.key === "Escape") event.preventDefault();
      }}
    >
      <SignInForm />
    </dialog>
  );
}

function SignInForm(): JSX.Element {
  const key = useSignal("");
  const error = useSignal<ApiError | null>(null);
  const isBusy = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · Tenuto";
    field.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy.value) return;
    error.value = wrongKey(key.value);
    if (error.value) return field.current?.focus();
    isBusy.value = true;
    const answer = await signIn(key.value.trim());
    isBusy.value = false;
    if (answer.ok) return undefined;
    error.value = answer.error;
    return field.current?.select();
  };
  return (
    <form class="sign-in-card" onSubmit={submit}>
      <p class="brand">
        <Brand /> Tenuto
      </p>
      <h1>Sign in</h1>
      {hasExpired.value && (
        <p class="note">Your session has ended. Sign in again: you stay on the page where you were.</p>
      )}
      <div class="field">
        <label for="sign-in-key">Key</label>
        <input
          id="sign-in-key"
          ref={field}
          type="password"
          name="key"
          autocomplete="current-password"
          spellcheck={false}
          value={key.value}
          aria-invalid={error.value !== null}
          aria-describedby="sign-in-hint"
          onInput={(event) => (key.value = event.currentTarget.value)}
        />
        <p class="field-hint" id="sign-in-hint">
          One of the keys in the host’s settings (<code>http.keys</code>, <code>TENUTO_HTTP_KEYS</code>);{" "}
          <code>tenuto key</code> makes new ones. Its role says what you may do here.
        </p>
      </div>
      {error.value && <ErrorNote error={error.value} />}
      <Button type="submit" kind="primary" isBusy={isBusy.value}>
        Sign in
      </Button>
    </form>
  );
}

function wrongKey(key: string): ApiError | null {
  return key.trim() === "" ? { code: "page", message: "Enter a key", status: 0 } : null;
}
