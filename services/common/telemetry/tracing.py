"""OpenTelemetry traces: W3C trace context in gRPC metadata and NATS headers."""

from __future__ import annotations

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

tracer = trace.get_tracer("kinemesh")


def configure_tracing(service: str, otlp_endpoint: str | None) -> TracerProvider:
    """Installs the tracer; call `shutdown()` on the result to flush.

    Without an endpoint nothing is recorded, but the spans' ids still join the logs of a request across services.
    """
    sampler = ALWAYS_OFF if otlp_endpoint is None else None
    provider = TracerProvider(sampler, Resource.create({"service.name": f"kinemesh-{service}"}))
    if otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=not otlp_endpoint.startswith("https://"))
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    # The default carries baggage too, which nobody here writes or reads.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    return provider


def trace_headers() -> dict[str, str]:
    """Returns the current trace context as headers (`traceparent`); empty outside a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
