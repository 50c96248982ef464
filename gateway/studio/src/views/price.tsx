import { useEffect, useState } from "preact/hooks";
import type { QuoteVideoResponse } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { reachable, videos } from "../api/client.ts";
import type { Problem } from "../api/problem.ts";
import { refused } from "../api/session.ts";
import { credits, duration } from "../format.ts";
import { account } from "../state/mesh.ts";
import { type Order, requestOf, textOf } from "../state/order.ts";
import { problemOfOrder } from "../state/submission.ts";

const SETTLE_MS = 250;

export interface Quote {
  readonly answer: QuoteVideoResponse | null;
  readonly problem: Problem | null;
}

/** What the order would cost, asked anew when its options come to rest. What is to be seen has no influence. */
export function useQuote(order: Order): Quote {
  const [quote, setQuote] = useState<Quote>({ answer: null, problem: null });
  const options = { ...order, prompt: "", negativePrompt: "", firstFrame: null };
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(
      () =>
        void ask(options, stop.signal).then((told) => {
          if (!stop.signal.aborted) setQuote(told);
        }),
      SETTLE_MS,
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [textOf(options), refused.value, reachable.value]);
  return quote;
}

async function ask(order: Order, signal: AbortSignal): Promise<Quote> {
  try {
    return { answer: await videos.quoteVideo({ video: requestOf(order) }, { signal }), problem: null };
  } catch (reason) {
    return { answer: null, problem: problemOfOrder(reason) };
  }
}

function whyNot({ fields, title }: Problem): string {
  return Object.keys(fields).length > 0 ? "No price for these options" : title;
}

interface Props {
  readonly quote: Quote;
  /** Whether the model's steps are its own. */
  readonly stepped: boolean;
}

export function PriceTag({ quote, stepped }: Props) {
  const { answer } = quote;
  if (answer === null)
    return (
      <p class="price" aria-live="polite">
        {quote.problem === null ? "Asking for the price…" : whyNot(quote.problem)}
      </p>
    );
  const free = account.value.value?.availableCredits;
  const short = free !== undefined && Number(answer.costCredits) > free;
  return (
    <p class={short ? "price short" : "price"} aria-live="polite">
      <strong>{credits(answer.costCredits)} credits</strong>
      <span>
        about {duration(answer.estimatedTimeSeconds)}
        {stepped && `, ${answer.numInferenceSteps} steps`}
      </span>
      {short && <span>You have {credits(free)}</span>}
    </p>
  );
}
