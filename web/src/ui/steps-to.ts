/** Steps of an axis from 0 to `most` that people count in: 1, 2, 2.5 or 5 times a power of ten; five at most. */
export function stepsTo(most: number, whole: boolean): number[] {
  if (most <= 0) return whole ? [0, 1] : [0];
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 2.5, 5, 10]
    .map((factor) => factor * power)
    .filter((size) => !whole || Number.isInteger(size))
    .find((size) => size * 4 >= most);
  const size = step ?? Math.ceil(most / 4);
  const count = Math.ceil(most / size - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * size).toPrecision(12)));
}
