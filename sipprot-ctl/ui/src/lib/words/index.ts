import { prefs, type Language } from "../prefs.svelte";
import { adminEn, type AdminWords } from "./admin.en";
import { adminFr } from "./admin.fr";
import { en, type Words } from "./en";
import { fleetEn, type FleetWords } from "./fleet.en";
import { fleetFr } from "./fleet.fr";
import { fr } from "./fr";
import { titles, type Titles } from "./titles";

type All = Words & AdminWords & FleetWords & { titles: Titles };
/** No two files have a word of the same name. */
type Twice =
  | (keyof Words & keyof AdminWords)
  | (keyof FleetWords & (keyof Words | keyof AdminWords));
true satisfies [Twice] extends [never] ? true : Twice;

const LANGUAGES: Record<Language, All> = {
  en: { ...en, ...adminEn, ...fleetEn, titles: titles.en },
  fr: { ...fr, ...adminFr, ...fleetFr, titles: titles.fr },
};

/** The words of the language that is spoken now. */
export const words = (): All => LANGUAGES[prefs.language];
