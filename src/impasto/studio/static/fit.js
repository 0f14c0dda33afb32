// How large a first picture is: as large as this machine paints in under a minute.

/** Seconds by the plan; loading, the first step and writing come on top. */
const LONGEST = 40;
const SIDES = [448, 384, 320, 256, 192];

/**
 * The first side whose plan takes no longer, and the usual one with what that would take.
 *
 * `planOf(side)` asks for a plan. Null where the usual `plan` fits, or no other does: time doesn't simply go with the
 * pixels, as each size has scales of its own.
 */
export async function fitting(plan, planOf) {
  if (!plan?.seconds || plan.seconds <= LONGEST) return null;
  const usual = Math.max(plan.width, plan.height);
  for (const side of SIDES.filter((one) => one < usual)) {
    const { seconds } = await planOf(side);
    if (seconds <= LONGEST) return { side, usual, seconds: plan.seconds };
  }
  return null;
}
