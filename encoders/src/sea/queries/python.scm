(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @type
(import_statement) @skip
(import_from_statement) @skip
