import { describe, expect, it } from "vitest";
import { Coalescer, type Timers } from "../src/api/coalescing";

/** A clock that the test moves. */
class Clock implements Timers {
  time = 0;
  private waiting: { at: number; action: () => void }[] = [];
  readonly now = () => this.time;
  readonly later = (action: () => void, milliseconds: number) => {
    const entry = { at: this.time + milliseconds, action };
    this.waiting.push(entry);
    return entry;
  };
  readonly cancel = (timer: unknown) => {
    this.waiting = this.waiting.filter((one) => one !== timer);
  };

  moveTo(time: number): void {
    for (;;) {
      const next = this.waiting.filter((one) => one.at <= time).sort((one, other) => one.at - other.at)[0];
      if (!next) break;
      this.cancel(next);
      this.time = next.at;
      next.action();
    }
    this.time = time;
  }
}

describe("coalescing", () => {
  it("hands on the first update at once", () => {
    const clock = new Clock();
    const handed: string[][] = [];
    new Coalescer<string>((items) => handed.push([...items]), 250, clock).add("a");
    clock.moveTo(0);
    expect(handed).toEqual([["a"]]);
  });

  it("hands on 30 updates a second at most four times a second, none lost, in their order", () => {
    const clock = new Clock();
    const handed: number[][] = [];
    const coalescer = new Coalescer<number>((items) => handed.push([...items]), 250, clock);
    for (let index = 0; index < 300; index += 1) {
      clock.moveTo((index * 1000) / 30);
      coalescer.add(index);
    }
    clock.moveTo(20_000);
    expect(handed.length).toBeLessThanOrEqual(41);
    expect(handed.flat()).toEqual(Array.from({ length: 300 }, (_, index) => index));
  });

  it("forgets what was not handed on when it is stopped", () => {
    const clock = new Clock();
    const handed: string[][] = [];
    const coalescer = new Coalescer<string>((items) => handed.push([...items]), 250, clock);
    coalescer.add("a");
    coalescer.stop();
    clock.moveTo(1000);
    expect(handed).toEqual([]);
  });
});
