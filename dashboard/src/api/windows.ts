/**
 * Which live streams this window may hold open. Browsers have six connections to a host, for all windows together: with
 * one stream more than that no button would do anything.
 *
 * Windows that are seen tell each other what they would hold. Streams of the hub come before those of instances, older
 * windows before younger ones, four streams in all. Who may hold none asks now and then (`live`).
 */

import { signal, type ReadonlySignal } from "@preact/signals";

export type Kind = "hub" | "instance";

export interface Wish {
  readonly may: ReadonlySignal<boolean>;
  /** The stream is not wanted any more. */
  readonly drop: () => void;
}

/** What a window would hold. */
type Wants = Readonly<Record<Kind, number>>;

interface Word {
  readonly id: string;
  readonly since: number;
  readonly wants: Wants;
  /** The others are to say the same of themselves. */
  readonly isAsking: boolean;
}

const KINDS: readonly Kind[] = ["hub", "instance"];
const NOTHING: Wants = { hub: 0, instance: 0 };
const MOST = 4;
const TOLD_EVERY = 4_000;
const FORGOTTEN_AFTER = 10_000;

interface OwnWish {
  readonly kind: Kind;
  readonly may: ReturnType<typeof signal<boolean>>;
}

/** Shares streams out among windows; one for each window. */
export class Windows {
  private readonly own: OwnWish[] = [];
  private readonly others = new Map<string, Word & { readonly heardAt: number }>();
  private readonly id = Math.random().toString(36).slice(2);
  private readonly since = Date.now();
  private channel: BroadcastChannel | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  /** Somebody wants a stream from now on. */
  wish(kind: Kind): Wish {
    const one: OwnWish = { kind, may: signal(true) };
    this.own.push(one);
    this.open();
    this.changed();
    return {
      may: one.may as ReadonlySignal<boolean>,
      drop: () => {
        const place = this.own.indexOf(one);
        if (place >= 0) this.own.splice(place, 1);
        this.changed();
      },
    };
  }

  private open(): void {
    if (this.channel !== null || typeof window === "undefined" || !("BroadcastChannel" in window)) return;
    this.channel = new BroadcastChannel("tenuto-streams");
    this.channel.onmessage = (event: MessageEvent<Word>) => this.hear(event.data);
    this.tell(true);
    this.timer = setInterval(() => this.changed(), TOLD_EVERY);
    document.addEventListener("visibilitychange", () => {
      this.tell(!document.hidden);
      this.share();
    });
    // Browsers may keep the page for "back": then it goes on.
    window.addEventListener("pagehide", () => this.tell(false, NOTHING));
    window.addEventListener("pageshow", () => this.tell(true));
  }

  close(): void {
    clearInterval(this.timer);
    this.channel?.close();
    this.channel = null;
  }

  private get wants(): Wants {
    if (document.hidden) return NOTHING;
    const count = (kind: Kind): number => this.own.filter((one) => one.kind === kind).length;
    return { hub: count("hub"), instance: count("instance") };
  }

  private changed(): void {
    this.tell(false);
    this.share();
  }

  private tell(isAsking: boolean, wants: Wants = this.wants): void {
    this.channel?.postMessage({ id: this.id, since: this.since, wants, isAsking } satisfies Word);
  }

  private hear(word: Word): void {
    if (word.wants.hub + word.wants.instance === 0) this.others.delete(word.id);
    else this.others.set(word.id, { ...word, heardAt: performance.now() });
    if (word.isAsking) this.tell(false);
    this.share();
  }

  private share(): void {
    for (const [id, one] of this.others) if (performance.now() - one.heardAt > FORGOTTEN_AFTER) this.others.delete(id);
    const self = { id: this.id, since: this.since, wants: this.wants };
    const all = [self, ...this.others.values()].sort((a, b) => a.since - b.since || (a.id < b.id ? -1 : 1));
    let left = MOST;
    for (const kind of KINDS) {
      let mine = 0;
      for (const one of all) {
        const granted = Math.min(one.wants[kind], left);
        left -= granted;
        if (one === self) mine = granted;
      }
      // Those of a window that is not seen are shut anyway.
      const wishes = this.own.filter((one) => one.kind === kind);
      wishes.forEach((one, place) => (one.may.value = document.hidden || place < mine));
    }
  }
}

const windows = new Windows();

/** A stream that this window wants to hold, for as long as it is wanted. */
export function wishFor(kind: Kind): Wish {
  return windows.wish(kind);
}
