import { prefs, type Language } from "../prefs.svelte";
import { adminEn, type AdminWords } from "./admin.en";
import { adminFr } from "./admin.fr";
import { en, type Words } from "./en";
import { fr } from "./fr";
import { titles, type Titles } from "./titles";

/** No two files may have a word of the same name. */
type Apart = keyof Words & keyof AdminWords extends never ? unknown : never;
type All = Words & AdminWords & { titles: Titles } & Apart;

const LANGUAGES: Record<Language, All> = {
  en: { ...en, ...adminEn, titles: titles.en },
  fr: { ...fr, ...adminFr, titles: titles.fr },
};

/** The words of the language that is spoken now. */
export const words = (): All => LANGUAGES[prefs.language];
