// What leaves the page and what enters it: the share dialog, files that are dropped, the title for other tabs.

import { mountDrop } from "./drop.js";
import { mountShare } from "./share.js";
import { mountTitle } from "./title.js";

export function mountSharing(stage) {
  for (const mount of [mountShare, mountDrop, mountTitle]) mount(stage);
}
