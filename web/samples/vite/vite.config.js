export default {
  // In development Vite bundles what is imported from packages, and then does not
  // find the worker and the wasm that lie beside the module.
  optimizeDeps: { exclude: ["webmsrp"] },
};
