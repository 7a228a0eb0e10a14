import { appendFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { propagation, trace } from '@opentelemetry/api'
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'

// Preloaded with `--import`, as the README describes: an SDK that writes each span to the file TEST_SPANS.

const exporter: SpanExporter = {
  export(spans, done) {
    for (const { name, attributes, links, parentSpanContext } of spans) {
      const span = { name, attributes, links, parentSpanId: parentSpanContext?.spanId }
      appendFileSync(process.env.TEST_SPANS ?? '', `${JSON.stringify(span)}\n`)
    }
    done({ code: ExportResultCode.SUCCESS })
  },
  shutdown: async () => {},
}

if (isMainThread && process.argv[1]) {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  // An interval beyond the duration of a test, so that only the shutdown exports.
  const processor = new BatchSpanProcessor({ exporter, scheduledDelayMillis: 600_000 })
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [processor] }))
}
