// What of Go's wasm_exec.js the host uses: the build copies that file, so it is
// not here to be checked, and is not ours to be.

export {};

declare global {
  class Go {
    readonly importObject: WebAssembly.Imports;
    run(instance: WebAssembly.Instance): Promise<void>;
  }
}
