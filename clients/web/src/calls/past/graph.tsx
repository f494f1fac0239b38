/** A small curve over the time of a call. */

export interface Point {
  /** ms since the call was connected. */
  at: number;
  /** Undefined: not measured, the line breaks. */
  value: number | undefined;
}

interface GraphProps {
  title: string;
  points: readonly Point[];
  /** The top of the scale at least; higher values stretch it. */
  top: number;
  /** Above it (or below, where `low`) it is felt. */
  limit?: number;
  low?: boolean;
  words: (value: number) => string;
}

const [WIDTH, HEIGHT] = [220, 48];

export function Graph({ title, points, top, limit, low, words }: GraphProps) {
  const measured = points.flatMap(({ value }) => value ?? []);
  if (measured.length === 0) return null;
  const most = Math.max(top, ...measured);
  const first = points[0]!.at;
  const span = Math.max(points.at(-1)!.at - first, 1);
  const x = (at: number) => ((at - first) / span) * WIDTH;
  const y = (value: number) => HEIGHT - (value / most) * (HEIGHT - 4) - 2;
  const worst = low ? Math.min(...measured) : Math.max(...measured);
  const mean = measured.reduce((sum, value) => sum + value, 0) / measured.length;
  const felt = limit !== undefined && (low ? worst < limit : worst > limit);
  const summary = `${words(mean)} on average, ${low ? "lowest" : "highest"} ${words(worst)}`;
  return (
    <figure class="graph">
      <figcaption title={summary}>
        {title} <b class={felt ? "felt" : ""}>{words(felt ? worst : mean)}</b>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}: ${summary}`} preserveAspectRatio="none">
        {limit !== undefined && limit <= most && <line class="limit" x1="0" x2={WIDTH} y1={y(limit)} y2={y(limit)} />}
        {lines(points).map((line, index) =>
          line.length === 1 ? (
            <circle key={index} cx={x(line[0]!.at)} cy={y(line[0]!.value)} r="2" />
          ) : (
            <polyline
              key={index}
              points={line.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ")}
            />
          ),
        )}
      </svg>
    </figure>
  );
}

/** The stretches between what was not measured. */
function lines(points: readonly Point[]): { at: number; value: number }[][] {
  const found: { at: number; value: number }[][] = [[]];
  for (const { at, value } of points) {
    if (value === undefined) found.push([]);
    else found.at(-1)!.push({ at, value });
  }
  return found.filter((line) => line.length > 0);
}
