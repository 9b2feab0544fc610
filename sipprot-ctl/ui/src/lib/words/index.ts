import { prefs, type Language } from "../prefs.svelte";
import { en, type Words } from "./en";
import { fr } from "./fr";

const LANGUAGES: Record<Language, Words> = { en, fr };

/** The words of the language that is spoken now. */
export const words = (): Words => LANGUAGES[prefs.language];
