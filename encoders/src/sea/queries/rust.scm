(function_item name: (identifier) @name) @function
(macro_definition name: (identifier) @name) @function
(struct_item name: (type_identifier) @name) @type
(enum_item name: (type_identifier) @name) @type
(union_item name: (type_identifier) @name) @type
(trait_item name: (type_identifier) @name) @type
(impl_item type: (_) @name) @container
(mod_item name: (identifier) @name body: (_)) @container
(use_declaration) @skip
(extern_crate_declaration) @skip
(mod_item !body) @skip
