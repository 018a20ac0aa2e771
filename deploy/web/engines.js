// The two engines behind one form: `open(model bytes, shape)` gives an object with a `name` and
// `run(pixels)`, which gives the raw output. Adding an engine is one function and one line below.

const RUNTIMES = new URL("runtimes/", import.meta.url).href;
// More threads than this wait for one another on networks of a phone's size.
const THREADS = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;

export const ENGINES = {
  litert: { title: "LiteRT.js", file: "model.tflite", open: openLiteRt },
  onnx: { title: "ONNX Runtime Web", file: "model.onnx", open: openOnnxRuntime },
};

let liteRt; // it can be loaded only once a page

async function openLiteRt(bytes, shape) {
  const api = await import("@litertjs/core");
  liteRt ??= loadLiteRt(api).catch((fault) => {
    liteRt = undefined; // such as without a network: it may be there the next time
    throw fault;
  });
  const threads = await liteRt;
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  const model = await api.loadAndCompile(bytes, options);
  return {
    name: `LiteRT.js, ${counted(threads)}`,
    async run(pixels) {
      const input = new api.Tensor(pixels, shape);
      const outputs = await model.run(input);
      const raw = (await outputs[0].data()).slice();
      [input, ...outputs].forEach((tensor) => tensor.delete());
      return raw;
    },
    close: () => model.delete(),
  };
}

/** Loads the build that this browser can run; returns its threads. */
async function loadLiteRt(api) {
  const needed = ["relaxedSimd", "threads"].map((name) => api.supportsFeature(name));
  if (THREADS > 1 && (await Promise.all(needed)).every(Boolean)) {
    await api.loadLiteRt(`${RUNTIMES}litertjs/`, { threads: true });
    return THREADS;
  }
  await api.loadLiteRt(`${RUNTIMES}litertjs/litert_wasm_compat_internal.js`);
  return 1;
}

async function openOnnxRuntime(bytes, shape) {
  const api = await import("onnxruntime-web");
  api.env.wasm.wasmPaths = `${RUNTIMES}onnxruntime-web/`;
  api.env.wasm.numThreads = THREADS;
  const session = await api.InferenceSession.create(bytes, {
    executionProviders: ["wasm"],
    // 1.30 folds a padding by zeros into the MaxPool behind it, which pads by minus infinity:
    // another answer wherever all values of a window are negative, as in ResNet50V2.
    extra: { optimization: { disable_specified_optimizers: "Pad_Fusion" } },
  });
  return {
    name: `ONNX Runtime Web, ${counted(THREADS)}`,
    async run(pixels) {
      const input = new api.Tensor("uint8", pixels, shape);
      const outputs = await session.run({ [session.inputNames[0]]: input });
      return outputs[session.outputNames[0]].data;
    },
    close: () => session.release(),
  };
}

function counted(threads) {
  return threads === 1 ? "1 thread" : `${threads} threads`;
}
