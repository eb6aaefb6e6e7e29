/** Amounts of usage as people read them. Pure. */

import type { Usage } from "../api/types";

const SMALL = 100;

/** With as many digits as say something. */
export function amountText(value: number): string {
  const digits = value === 0 ? 0 : value < 1 ? 4 : value < SMALL ? 2 : 0;
  return value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A single execution costs millionths: what is not nothing never looks like it. */
export function priceText(price: number | null): string {
  if (price === null) return "–";
  if (price === 0) return "0.00";
  const digits = price < 0.01 ? Math.min(9, 1 - Math.floor(Math.log10(price))) : 2;
  return price.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Each line's part of all GB-seconds, from 0 to 1. */
export function sharesOf({ lines, total }: Pick<Usage, "lines" | "total">): readonly number[] {
  return lines.map((line) => (total.gigabyteSeconds > 0 ? line.gigabyteSeconds / total.gigabyteSeconds : 0));
}
