import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { bytes } from "../format.ts";
import { Drawing } from "../parts/drawing.tsx";
import { Slider, TextField } from "../parts/field.tsx";
import { FileField } from "../parts/file_field.tsx";
import { Section } from "../parts/section.tsx";
import { Malformed, amend, order } from "../state/order.ts";
import { PICTURE_TYPES, type Picture, readPicture } from "../state/picture.ts";
import type { PartProps } from "./options.tsx";

const FIELDS = ["first_frame_image", "reference_video", "reference_strength"];

/** A picture to begin with, a video to be made after: where the model takes them. */
export function Beginning({ asked, model, errors }: PartProps) {
  const { firstFrame, referenceVideo } = order.value;
  const [refusal, setRefusal] = useState("");
  const take = async (file: File) => {
    try {
      amend({ firstFrame: await readPicture(file) });
      setRefusal("");
    } catch (reason) {
      setRefusal(reason instanceof Malformed ? reason.message : String(reason));
    }
  };
  const remove = () => {
    amend({ firstFrame: null });
    setRefusal("");
  };
  const takesPicture = model?.takesFirstFrame ?? false;
  const takesVideo = model?.takesReferenceVideo ?? false;
  useGivenFiles(takesPicture, (file) => void take(file));
  const unused = !takesPicture && firstFrame !== null;
  if (!takesPicture && !takesVideo)
    return unused ? (
      <p class="hint">{model?.name} cannot begin with a picture; yours waits for another model.</p>
    ) : null;
  const wrong = refusal !== "" || FIELDS.some((field) => field in errors);
  return (
    <Section
      label="Begin with a picture or a video"
      needed={wrong || firstFrame !== null || referenceVideo !== ""}
      shown={refusal || firstFrame?.id}
    >
      {takesPicture && (
        <FirstFrame
          picture={asked.firstFrame}
          error={refusal || errors.first_frame_image}
          onFile={(file) => void take(file)}
          onRemove={remove}
        />
      )}
      {takesVideo && <Reference asked={asked} model={model} errors={errors} />}
    </Section>
  );
}

interface FirstFrameProps {
  readonly picture: Picture | null;
  readonly error: string | undefined;
  readonly onFile: (file: File) => void;
  readonly onRemove: () => void;
}

function FirstFrame({ picture, error, onFile, onRemove }: FirstFrameProps) {
  return (
    <FileField
      label="First frame"
      accept={PICTURE_TYPES}
      invitation="Choose a picture, drop it here or paste it"
      error={error}
      onFile={onFile}
      onRemove={onRemove}
    >
      {picture && (
        <>
          <Drawing bytes={picture.bytes} label={`First frame: ${picture.name}`} />
          <p>
            {picture.name} <span class="quiet whole">{bytes(picture.bytes.length)}</span>
          </p>
        </>
      )}
    </FileField>
  );
}

function Reference({ asked, errors }: PartProps) {
  return (
    <>
      <TextField
        label="Reference video"
        kind="url"
        value={asked.referenceVideo}
        error={errors.reference_video}
        placeholder="https://example.com/clip.mp4"
        onText={(referenceVideo) => amend({ referenceVideo })}
      />
      {asked.referenceVideo && (
        <Slider
          label="May depart from it"
          least={5}
          most={100}
          unit="%"
          value={asked.departure}
          error={errors.reference_strength}
          onSlide={(departure) => amend({ departure })}
        />
      )}
    </>
  );
}

/** Calls back with a file that is pasted or dropped anywhere: a browser would leave the page for one that misses its field. */
function useGivenFiles(wanted: boolean, onFile: (file: File) => void): void {
  const latest = useRef(onFile);
  latest.current = onFile;
  useLayoutEffect(() => {
    if (!wanted) return;
    const over = (event: DragEvent) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    const take = (event: Event, files: FileList | undefined) => {
      if (!files?.[0]) return;
      event.preventDefault();
      latest.current(files[0]);
    };
    const stop = new AbortController();
    addEventListener("dragover", over, { signal: stop.signal });
    addEventListener("drop", (event) => take(event, event.dataTransfer?.files), { signal: stop.signal });
    addEventListener("paste", (event) => take(event, event.clipboardData?.files), { signal: stop.signal });
    return () => stop.abort();
  }, [wanted]);
}
