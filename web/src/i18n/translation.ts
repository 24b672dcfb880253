/** The type of a translation: the keys of the English one, without `_one` plurals, which Korean does not have. */
export type Translation<T> = {
  [K in keyof T as K extends `${string}_one` ? never : K]: T[K] extends string ? string : Translation<T[K]>;
};
