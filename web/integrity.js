/**
 * The hash of the msrp.wasm that these modules belong to.
 * The build puts it in; modules that were not built take any.
 */
export const wasmIntegrity = typeof WASM_INTEGRITY === "string" ? WASM_INTEGRITY : "";
