import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { videos } from "../api/client.ts";
import { problemOf } from "../api/problem.ts";

interface InlineProps {
  readonly id: string;
  readonly poster: string;
  readonly title: string;
  readonly children: ComponentChildren;
}

/** A picture that becomes a player when pressed. The address is asked for then, because addresses expire. */
export function InlinePlayer({ id, poster, title, children }: InlineProps) {
  const [source, setSource] = useState<string | null>(null);
  const [failure, setFailure] = useState("");
  const start = async () => {
    try {
      setSource((await videos.getVideo({ requestId: id })).output?.videoUrl ?? null);
    } catch (reason) {
      setFailure(problemOf(reason).title);
    }
  };
  if (source !== null)
    return <video class="still" src={source} poster={poster} title={title} controls autoPlay playsInline />;
  return (
    <button class="still" type="button" aria-label={`Play ${title}`} onClick={() => void start()}>
      {poster && <img src={poster} alt="" loading="lazy" />}
      <span class="play">{children}</span>
      {failure && (
        <span class="failure" role="alert">
          {failure}
        </span>
      )}
    </button>
  );
}
