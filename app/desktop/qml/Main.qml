// The window: conversations on the left, the open one with the composer below it on the right.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

ApplicationWindow {
    id: window
    title: App.conversation.title ? App.conversation.title + " – Olivine" : "Olivine"
    width: Math.min(App.preferences.width, Screen.desktopAvailableWidth)
    height: Math.min(App.preferences.height, Screen.desktopAvailableHeight)
    minimumWidth: 360
    minimumHeight: 320
    color: Theme.background
    palette.toolTipBase: Theme.text
    palette.toolTipText: Theme.background
    readonly property bool narrow: width < 720 * Theme.zoom
    property bool over: false  // narrow: the conversations lie over the open one
    readonly property bool listed: narrow ? over : App.preferences.sidebar
    onClosing: App.preferences.keep_size(width, height)

    function toggle_list() {
        if (narrow)
            over = !over
        else
            App.preferences.sidebar = !App.preferences.sidebar
    }
    function open_panel(loader) {
        loader.active = true
        loader.item.open()
    }
    function write() { composer.input.forceActiveFocus() }

    Connections {
        target: App
        function onTold(sentence) { toasts.tell(sentence) }
        function onFailed(sentence, details) { toasts.fail(sentence, details) }
    }
    Connections {
        target: App.conversation
        function onOpened() { window.write() }
    }

    Item {
        id: main
        anchors.fill: parent
        anchors.leftMargin: window.listed && !window.narrow ? sidebar.width : 0

        Header {
            id: header
            objectName: "header"
            width: parent.width
            listed: window.listed && !window.narrow
            onList_toggled: window.toggle_list()
            onModels_wanted: window.open_panel(models)
            onSettings_wanted: window.open_panel(settings)
            onKeys_wanted: window.open_panel(keys)
        }
        ModelNotice {
            id: notice
            anchors.top: header.bottom
            width: parent.width
            onModels_wanted: window.open_panel(models)
        }
        Messages {
            id: messages
            objectName: "messages"
            anchors { left: parent.left; right: parent.right; top: notice.bottom; bottom: composer.top; bottomMargin: Theme.spacing }
            onPicture_opened: picture => window.show_picture(picture)
            onEdited: window.write()
            onRemoval_wanted: index => {
                removal.active = true
                removal.item.ask(index)
            }
        }
        Welcome {
            anchors.fill: messages
            visible: App.conversation.count === 0 && !App.conversation.loading
            onAsked: question => App.conversation.send(question)
        }
        Composer {
            id: composer
            objectName: "composer"
            anchors { bottom: status.top; bottomMargin: Theme.spacing * 0.5; horizontalCenter: parent.horizontalCenter }
            width: Math.min(parent.width - 2 * Theme.spacing, Theme.column + 4 * Theme.spacing)
            onPicture_wanted: window.open_panel(pictureDialog)
            onPicture_opened: picture => window.show_picture(picture)
            onEdit_last: messages.edit_last()
            onLeap: end => end ? messages.to_end() : messages.to_beginning()
        }
        StatusLine {
            id: status
            objectName: "status"
            anchors { left: composer.left; right: composer.right; bottom: parent.bottom; bottomMargin: Theme.spacing * 0.5; leftMargin: Theme.spacing; rightMargin: Theme.spacing }
        }
        Toasts {
            id: toasts
            objectName: "toasts"
            anchors { horizontalCenter: parent.horizontalCenter; bottom: composer.top; bottomMargin: Theme.spacing }
            width: Math.min(parent.width - 4 * Theme.spacing, Theme.column)
        }
        DropArea {
            objectName: "drop"
            anchors.fill: parent
            onDropped: drop => {
                if (drop.hasUrls) {
                    App.take_files(drop.urls)
                    drop.accept(Qt.CopyAction)
                } else if (drop.hasText) {
                    composer.add(drop.text)
                    drop.accept(Qt.CopyAction)
                }
                window.write()
            }
            Rectangle {
                visible: parent.containsDrag
                anchors.fill: parent
                anchors.margins: Theme.spacing
                radius: Theme.radius * 1.4
                color: Theme.background
                opacity: 0.92
                border.width: 2
                border.color: Theme.accent
                Text {
                    anchors.centerIn: parent
                    text: qsTr("Drop pictures, a model or conversations here")
                    color: Theme.text
                    font.pixelSize: Theme.large * 0.8
                }
            }
        }
    }
    Rectangle {  // beside the list of a narrow window
        anchors.fill: parent
        visible: window.narrow && window.over
        color: "#80000000"
        TapHandler { onTapped: window.over = false }
    }
    Sidebar {
        id: sidebar
        objectName: "sidebar"
        visible: window.listed
        width: window.narrow ? Math.min(300 * Theme.zoom, window.width * 0.85) : 272 * Theme.zoom
        height: parent.height
        onChosen: {
            window.over = false
            window.write()
        }
        onExport_wanted: (conversation, title, format) => {
            exportDialog.active = true
            exportDialog.item.ask(conversation, title, format)
        }
        onExport_all_wanted: {
            exportDialog.active = true
            exportDialog.item.ask(0, "Olivine", "json")
        }
        onImport_wanted: window.open_panel(importDialog)
    }

    function show_picture(picture) {
        pictureView.active = true
        pictureView.item.source = picture
        pictureView.item.open()
    }

    // Made when they are first asked for: the window comes sooner.
    Loader { id: models; active: false; sourceComponent: ModelPanel {
        onFolder_wanted: window.open_panel(folderDialog)
        onFile_wanted: window.open_panel(modelDialog)
    } }
    Loader { id: settings; active: false; sourceComponent: SettingsPanel {} }
    Loader { id: removal; active: false; sourceComponent: RemovalPanel {} }
    Loader { id: keys; active: false; sourceComponent: KeysPanel {} }
    Loader { id: pictureView; active: false; sourceComponent: PictureView {} }
    Loader { id: pictureDialog; active: false; source: "PictureDialog.qml" }
    Loader { id: modelDialog; active: false; source: "ModelDialog.qml" }
    Loader { id: folderDialog; active: false; source: "ModelFolderDialog.qml" }
    Loader { id: exportDialog; active: false; source: "ExportDialog.qml" }
    Loader { id: importDialog; active: false; source: "ImportDialog.qml" }

    Shortcut { sequences: [StandardKey.New]; onActivated: { App.conversation.start_new(); window.write() } }
    Shortcut { sequences: [StandardKey.Find]; onActivated: {
        if (!window.listed) window.toggle_list()
        sidebar.search.forceActiveFocus()
        sidebar.search.selectAll()
    } }
    Shortcut { sequence: "Esc"; onActivated: {
        if (App.conversation.answering) App.conversation.stop()
        else if (window.over) window.over = false
        else window.write()
    } }
    Shortcut { sequence: "Ctrl+R"; onActivated: App.conversation.regenerate(App.conversation.count - 1) }
    Shortcut { sequence: "Ctrl+G"; onActivated: App.conversation.go_on() }
    Shortcut { sequence: "Ctrl+O"; onActivated: window.open_panel(pictureDialog) }
    Shortcut { sequence: "Ctrl+M"; onActivated: window.open_panel(models) }
    Shortcut { sequence: "Ctrl+,"; onActivated: window.open_panel(settings) }
    Shortcut { sequence: "Ctrl+B"; onActivated: window.toggle_list() }
    Shortcut { sequence: "Ctrl+Up"; onActivated: sidebar.step(-1) }
    Shortcut { sequence: "Ctrl+Down"; onActivated: sidebar.step(1) }
    Shortcut { sequence: "Ctrl+Shift+C"; onActivated: {
        App.conversation.copy(App.conversation.text_at(App.conversation.count - 1))
        toasts.tell(qsTr("The last answer is copied."))
    } }
    Shortcut { sequence: "Ctrl+Shift+L"; onActivated: App.preferences.theme = Theme.dark ? "light" : "dark" }
    Shortcut { sequences: [StandardKey.ZoomIn, "Ctrl+="]; onActivated: App.preferences.zoom += 0.1 }
    Shortcut { sequences: [StandardKey.ZoomOut]; onActivated: App.preferences.zoom -= 0.1 }
    Shortcut { sequence: "Ctrl+0"; onActivated: App.preferences.zoom = 1 }
    Shortcut { sequences: ["F1", "Ctrl+/"]; onActivated: window.open_panel(keys) }
    Shortcut { sequence: "PgUp"; onActivated: messages.page(-1) }
    Shortcut { sequence: "PgDown"; onActivated: messages.page(1) }
    Shortcut { sequence: "Ctrl+Home"; onActivated: messages.to_beginning() }
    Shortcut { sequence: "Ctrl+End"; onActivated: messages.to_end() }
    Shortcut { sequences: [StandardKey.Quit, "Ctrl+Q"]; onActivated: window.close() }
}
