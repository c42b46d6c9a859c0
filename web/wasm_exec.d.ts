// What of Go's wasm_exec.js the host uses, and what the build puts in: neither
// is here to be checked.

export {};

declare global {
  class Go {
    readonly importObject: WebAssembly.Imports;
    run(instance: WebAssembly.Instance): Promise<void>;
    /** Goes on with the program: every event and timer comes through here. */
    _resume(): void;
    _scheduledTimeouts: Map<number, ReturnType<typeof setTimeout>>;
  }
  /** See integrity.js. */
  const WASM_INTEGRITY: string;
}
