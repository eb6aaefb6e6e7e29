/** Numbers as ranges: `0–3, 7`. Pure. */

export function rangesText(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((one, other) => one - other);
  const parts: string[] = [];
  for (let begin = 0; begin < sorted.length;) {
    let end = begin;
    while (sorted[end + 1] === (sorted[end] as number) + 1) end += 1;
    parts.push(begin === end ? `${sorted[begin]}` : `${sorted[begin]}–${sorted[end]}`);
    begin = end + 1;
  }
  return parts.join(", ");
}
