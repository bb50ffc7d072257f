(function_definition declarator: (_) @name) @function
(struct_specifier name: (_) @name body: (_)) @type
(class_specifier name: (_) @name body: (_)) @type
(union_specifier name: (_) @name body: (_)) @type
(enum_specifier name: (_) @name body: (_)) @type
(namespace_definition name: (_) @name) @container
(preproc_include) @skip
(using_declaration) @skip
