// Refusals that no consent helps against.

import { ApiError } from "./api";

/** So that nobody is asked whether they want it all the same: the last admin stays, whoever agrees. */
export async function final<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new ApiError(error.status, { ...error.fault, code: "final" });
  }
}
