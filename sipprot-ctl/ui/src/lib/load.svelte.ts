// What a page shows of the API: asked for again whenever the question or a list changes.

import { changes } from "./state.svelte";

export class Loaded<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<unknown>(null);
  #asked = 0;

  constructor(private readonly load: () => Promise<T>) {
    $effect(() => {
      void changes.count;
      this.again();
    });
  }

  /** The old value stays until the new one is there, so that nothing jumps. */
  again = () => {
    const asked = ++this.#asked;
    this.load().then(
      (value) => {
        if (asked !== this.#asked) return;
        this.value = value;
        this.error = null;
      },
      (error: unknown) => {
        if (asked === this.#asked) this.error = error;
      },
    );
  };
}
