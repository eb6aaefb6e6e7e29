/** The fields of a form that was made from a JSON schema (`fields`), each with its label and what is wrong. */

import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { givenOf, type Entries, type Field, type Form } from "./fields";

export interface FormFieldsProps {
  readonly form: Form;
  readonly entries: Entries;
  readonly errors: Readonly<Record<string, string>>;
  readonly onEntry: (name: string, value: string) => void;
}

export function FormFields({ form, entries, errors, onEntry }: FormFieldsProps): JSX.Element {
  return (
    <div class="stack">
      {form.fields.map((field) => (
        <FormField
          key={field.name}
          field={field}
          value={givenOf(field, entries)}
          error={Object.hasOwn(errors, field.name) ? errors[field.name] : undefined}
          onEntry={(value) => onEntry(field.name, value)}
        />
      ))}
    </div>
  );
}

interface FormFieldProps {
  readonly field: Field;
  readonly value: string;
  readonly error: string | undefined;
  readonly onEntry: (value: string) => void;
}

function FormField(props: FormFieldProps): JSX.Element {
  const { field, error } = props;
  const id = useId();
  const isOptional = !field.isRequired && field.kind !== "check";
  return (
    <div class="field">
      <label for={id}>
        {field.label} {isOptional && <span class="quiet-text small-text">(may be left out)</span>}
      </label>
      <Control {...props} id={id} />
      {field.hint && (
        <p class="field-hint" id={`${id}-hint`}>
          {field.hint}
        </p>
      )}
      {error && (
        <p class="field-wrong" id={`${id}-wrong`}>
          {error}
        </p>
      )}
    </div>
  );
}

/** Preact's types ask for one at a time; all of these are used alike. */
const INPUT_TYPES = {
  text: "text",
  integer: "text",
  number: "text",
  date: "date",
  time: "time",
  moment: "datetime-local",
} as const;

function Control({ field, value, error, onEntry, id }: FormFieldProps & { readonly id: string }): JSX.Element {
  const described = [field.hint && `${id}-hint`, error && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  const common = { id, "aria-invalid": error !== undefined, "aria-describedby": described };
  const { kind } = field;
  if (kind === "check") {
    return (
      <input
        {...common}
        type="checkbox"
        checked={value === "true"}
        onChange={(event) => onEntry(String(event.currentTarget.checked))}
      />
    );
  }
  if (kind === "choice") {
    return (
      <select {...common} value={value} onChange={(event) => onEntry(event.currentTarget.value)}>
        {!value && <option value="">Choose…</option>}
        {field.choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    );
  }
  if (kind === "json") {
    return (
      <textarea
        {...common}
        rows={5}
        spellcheck={false}
        value={value}
        onInput={(event) => onEntry(event.currentTarget.value)}
      />
    );
  }
  return (
    <input
      {...common}
      type={INPUT_TYPES[kind] as "text"}
      inputMode={kind === "integer" ? "numeric" : kind === "number" ? "decimal" : undefined}
      step={kind === "time" || kind === "moment" ? "1" : undefined}
      autocomplete="off"
      value={value}
      onInput={(event) => onEntry(event.currentTarget.value)}
    />
  );
}
