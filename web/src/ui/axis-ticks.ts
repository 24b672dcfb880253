/** At most five ticks from 0 to at least `max`, with a step of 1, 2, 2.5 or 5 times a power of ten. */
export function axisTicks(max: number, integers: boolean): number[] {
  if (max <= 0) return integers ? [0, 1] : [0];
  const power = 10 ** Math.floor(Math.log10(max / 4));
  const step = [1, 2, 2.5, 5, 10]
    .map((factor) => factor * power)
    .filter((size) => !integers || Number.isInteger(size))
    .find((size) => size * 4 >= max);
  const size = step ?? Math.ceil(max / 4);
  const count = Math.ceil(max / size - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * size).toPrecision(12)));
}
