// What somebody prefers, kept in this browser.

export type Language = "en" | "fr";
export type Theme = "auto" | "light" | "dark" | "contrast";

export const LANGUAGES: readonly Language[] = ["en", "fr"];
export const THEMES: readonly Theme[] = ["auto", "light", "dark", "contrast"];

function kept<T extends string>(name: string, of: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(`sipprot.${name}`) as T | null;
    return value && of.includes(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name: string, value: string) {
  try {
    localStorage.setItem(`sipprot.${name}`, value);
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
}

class Prefs {
  language = $state<Language>(
    kept("language", LANGUAGES, navigator.language.startsWith("fr") ? "fr" : "en"),
  );
  theme = $state<Theme>(kept("theme", THEMES, "auto"));

  speak(language: Language) {
    this.language = language;
    keep("language", language);
  }

  wear(theme: Theme) {
    this.theme = theme;
    keep("theme", theme);
  }
}

export const prefs = new Prefs();
