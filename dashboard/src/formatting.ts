/** Times, spans, counts and statuses as people read them. Pure: what "now" is, the caller says. */

const MICROSECONDS = 1000;
const SECOND = 1;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The zone in which times are shown. */
export type Zone = "local" | "utc";

/** A span in its two greatest units: `3 h 12 min`, `4.2 s`, `380 ms`. */
export function spanText(seconds: number): string {
  const length = Math.abs(seconds);
  if (length < 0.9995) return `${Math.round(length * 1000)} ms`;
  if (length < 9.95) return `${length.toFixed(1)} s`;
  if (length < 59.5) return `${Math.round(length)} s`;
  if (length < HOUR) return twoUnits(length, MINUTE, "min", SECOND, "s");
  if (length < DAY) return twoUnits(length, HOUR, "h", MINUTE, "min");
  return twoUnits(length, DAY, "d", HOUR, "h");
}

function twoUnits(length: number, great: number, greatName: string, small: number, smallName: string): string {
  const whole = Math.round(length / small) * small;
  const first = Math.floor(whole / great);
  const second = Math.round((whole - first * great) / small);
  return second === 0 ? `${first} ${greatName}` : `${first} ${greatName} ${second} ${smallName}`;
}

/** How long before or after now: `just now`, `5 min ago`, `in 3 h`. */
export function relativeText(at: number, now: number): string {
  const seconds = (now - at) / 1e6;
  if (Math.abs(seconds) < 1.5) return "just now";
  const text = roughSpan(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

function roughSpan(seconds: number): string {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < HOUR - 30) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < DAY - HOUR / 2) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} d`;
}

/** The whole moment, with milliseconds and its zone: `2026-11-22 00:54:49.631 UTC`. */
export function exactText(at: number, zone: Zone): string {
  const date = new Date(at / MICROSECONDS);
  if (zone === "utc") return `${date.toISOString().replace("T", " ").replace("Z", "")} UTC`;
  return `${dayText(date)} ${clockText(date, true)} ${offsetText(date)}`;
}

/** As the API takes a moment: ISO 8601 in UTC, to the microsecond. */
export function isoText(at: number): string {
  const rest = String(((at % 1000) + 1000) % 1000).padStart(3, "0");
  return new Date(Math.floor(at / 1000)).toISOString().replace("Z", `${rest}Z`);
}

/** The moment to the second, for sentences: `2026-11-22 00:54:49 UTC`. */
export function momentText(at: number, zone: Zone): string {
  return exactText(at, zone).replace(/\.\d{3}/, "");
}

/** The moment as short as it can be told from others of its day: `00:54:49`, or `22 Nov 00:54`. */
export function shortText(at: number, now: number, zone: Zone): string {
  const date = shifted(at, zone);
  const today = shifted(now, zone);
  const isToday = date.toISOString().slice(0, 10) === today.toISOString().slice(0, 10);
  if (isToday) return date.toISOString().slice(11, 19);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  const isThisYear = date.getUTCFullYear() === today.getUTCFullYear();
  return isThisYear ? `${day} ${date.toISOString().slice(11, 16)}` : `${day} ${date.getUTCFullYear()}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A date whose UTC fields are those of the zone. */
function shifted(at: number, zone: Zone): Date {
  const date = new Date(at / MICROSECONDS);
  return zone === "utc" ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
}

function dayText(date: Date): string {
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
}

function clockText(date: Date, withMilliseconds: boolean): string {
  const text = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}:${twoDigits(date.getSeconds())}`;
  return withMilliseconds ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

function offsetText(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** A count with separators: `12,345`. */
export function countText(count: number): string {
  return count.toLocaleString("en-US");
}

/** A count with its word: `1 host`, `3 hosts`, `2 queries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** A size: `912 B`, `3.4 KB`, `18 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const text = unit === 0 || size >= 9.95 ? String(Math.round(size)) : size.toFixed(1);
  return `${text} ${units[unit]}`;
}

/** A long text cut in its middle, so that both ends can be read. */
export function shortened(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = Math.ceil((length - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (length - 1 - head))}`;
}

/** A text with its first letter large: the API's messages begin small, for they follow a name in the command line. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A text as a sentence of its own. */
export function sentence(text: string): string {
  const whole = capitalised(text);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
